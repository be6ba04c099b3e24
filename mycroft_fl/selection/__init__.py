"""The ways to choose, by what they look at; `mycroft_fl/selection/methods.py` names them."""
