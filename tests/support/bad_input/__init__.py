"""Every case of bad input that is tested, declared once: the tests run on these declarations, and
docs/bad_input.md is made from them.
"""
