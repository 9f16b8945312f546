"""NumPy: one `a @ b`, with as many BLAS threads as OPENBLAS_NUM_THREADS says."""

import numpy as np
import peer

options = peer.parse(__doc__)
a, b = peer.host_matrices(options.n)
c = np.empty_like(a)
seconds, _ = peer.measure(lambda: np.matmul(a, b, out=c), options.repeats, options.warmups)
peer.check(a[options.n // 2], b, c[options.n // 2], options.n)
peer.report(options, seconds, peer.blas())
