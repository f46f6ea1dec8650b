"""`undertext bench`: organisms of known truth, on which any judge is scored."""
