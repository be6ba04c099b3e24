"""The ways to choose, by what they look at; `mycroft_fl/selection.py` names them."""
