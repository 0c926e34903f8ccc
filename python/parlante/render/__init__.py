"""Motion to picture: mesh, warp, the diffusion chain, composition.

May import `portrait`, `speech` and what those may.
"""
