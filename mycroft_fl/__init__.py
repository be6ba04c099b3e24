"""Mycroft: find out which data owners can help a model, with as little of their data as possible.

examples   labelled examples and the hard ones among them
represent  an example as a vector: gradients, features
match      which candidates explain a target
selection  represent x match: the methods, by name
models     networks, fitting and evaluating them
scoring    what an owner's subset is worth to the trainer, with its uncertainty
protocol   what a trainer asks and an owner answers, packed and signed for the network
privacy    noise, an owner's ledger, attacks and audits
settings   a run's settings
"""

__version__ = "0.1.0"
