"""One portrait and any speech in, a talking video of that person out."""

__version__ = "0.1.0"
