"""Below what a number of a pursuit is rounding, and nothing to act on."""

LEAST_COSINE = 1e-7  # with the target; its square is the gain that float64 can still tell
LEAST_GAIN = 1e-14  # of the squared target
LEAST_PIVOT = 1e-6  # of an atom's squared norm; below, it is all but a sum of those chosen
TIE = 1e-12  # what is nearer than this is equal: the lowest index wins on any number of threads
