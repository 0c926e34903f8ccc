"""Motion to picture: mesh, warp, the diffusion chain, composition.

May import `options`, `portrait`, `speech` and what those may.
"""
