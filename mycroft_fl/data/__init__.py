"""Data sets in memory, and what a simulation does to them.

sources     a name or a path -> a Dataset
known       the data sets that have a name
files       npz files and images by class, read
cifar       CIFAR-10's own batches, read without trusting them
cache       parsed once, kept for the next process
transforms  what makes one group of images unlike another
corrupt     bad pixels, wrong labels
partition   who gets which examples
"""
