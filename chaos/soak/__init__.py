"""A long load at a steady rate: does anything grow, or get slower?"""
