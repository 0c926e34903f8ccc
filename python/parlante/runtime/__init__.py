"""What networks and native ops run on: the bundle, ONNX sessions, devices, this machine.

May import `checks`, `contract` and `errors`.
"""
