"""The command line, the web page, the benchmark and the doctor.

May import `adapters`, `avatar` and what those may.
"""

import os

# Arrays and pictures are small here: NumPy's and OpenCV's threads take longer to share them out
# than one takes to be done with them. Both read this when they are imported.
for _threads in ("OPENBLAS_NUM_THREADS", "OPENCV_FOR_THREADS_NUM"):
    os.environ.setdefault(_threads, "1")
