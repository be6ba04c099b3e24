"""The trainer's side of a deployment: keys, SuperLink, admitted owners, runs over them."""
