"""The stage that judges predictions once their labels are known."""
