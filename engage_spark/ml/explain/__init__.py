"""Explain predictions: TreeSHAP, linear contributions, reasons."""
