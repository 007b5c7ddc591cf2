"""What tests share: made data, literal graphs, commands in processes of their own, declared cases of bad
input.
"""
