"""`routes`: several ways to elicit a capability, on the same problems."""
