"""Where student code runs: a zygote that has torch loaded, forks from it in namespaces of their own, limits.

Nothing here imports a reference, a check or nbgrader: what stands in this folder may be seen by student code.
"""
