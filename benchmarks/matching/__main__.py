"""What gradient matching costs, against public solvers: one claim a sub-command.

    python -m benchmarks.matching omp|pools|gradients|nearest|resnet|stream|gpu [--repeats 5]
        [--size s,m,w,l] [--against free,ols,nonnegative,passes-free,passes]
        [--candidates N] [--folder FOLDER]

Process CPU seconds of one thread, competitors in turn within every repeat, medians; a ratio is the
median of the repeats' ratios; residuals and picks are compared. Peers are installed on first use
into a folder of their own. Run it with OMP_NUM_THREADS=1 MKL_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1,
and, in fairness to peers on NumPy, with OPENBLAS_CORETYPE and OPENBLAS_L2_SIZE unset (`env -u`);
what NumPy got is printed first.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable
from pathlib import Path

import torch
from threadpoolctl import threadpool_info

from benchmarks.matching.gpu import gpu
from benchmarks.matching.gradients import gradient_cost, resnet
from benchmarks.matching.nearest import nearest, stream
from benchmarks.matching.pursuit import omp, pools

CLAIMS: dict[str, Callable[[argparse.Namespace], None]] = {
    "omp": omp,
    "pools": pools,
    "gradients": gradient_cost,
    "nearest": nearest,
    "resnet": resnet,
    "stream": stream,
    "gpu": gpu,
}


def main() -> None:
    """One sub-command's table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("claim", choices=sorted(CLAIMS))
    parser.add_argument("--size", default="s,m,w")
    parser.add_argument("--against", default="free,ols,nonnegative,passes-free,passes")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--candidates", type=int)
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()))
    options = parser.parse_args()
    torch.set_num_threads(1)
    blas = [f"{each['internal_api']} {each.get('architecture')}" for each in threadpool_info()]
    print(f"torch {torch.__version__}, {torch.get_num_threads()} thread; {', '.join(blas)}")
    CLAIMS[options.claim](options)


if __name__ == "__main__":
    main()
