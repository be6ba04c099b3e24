"""Data sets: read from files, and fitted to a task.

sources   a name or a path -> a Dataset
dataset   distinct examples in memory, of arrays or of tables
known     the sets of images that have a name
formats   npz files, images by class, CIFAR's batches, transforms, a cache of what was parsed
tables    CSV, JSON lines, Parquet and Feather as text; kinds, columns, scaling, conditions
marks     whose a table's rows are, and which may leave
fitted    a data set checked against a task
task      what a trainer and its owners agree on
"""
