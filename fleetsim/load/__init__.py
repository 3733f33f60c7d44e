"""What simulated engines and cards do, as pure functions of a key and the time.

Nothing here keeps state, reads a clock or does I/O: the same key and moment give the same value,
whenever they are asked for. So the past can be told as well as the present, and both agree.
"""
