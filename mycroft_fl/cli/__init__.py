"""The commands of `mycroft-fl`, a file each. They alone look other packages up, and only when run."""
