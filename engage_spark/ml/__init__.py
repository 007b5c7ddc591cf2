"""Train, test and explain models: the features that they may use, splits, selection, fitting, scoring."""
