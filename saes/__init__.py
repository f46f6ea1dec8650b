"""Sparse autoencoders trained with sae-lens, as plain tensors.

An SAE reads activations `[n, d_model]` at one hook point and explains each as a sum of few of its `d_sae`
features. What leaves this wing is a tensor: `encode` gives how strongly each feature fires, and a row of
`decoder_directions` is a vector like any other, which steering can add and probes can be compared with.

sae-lens is an extra: `pip install undertext[saes]`. It is loaded when an SAE is, not when `saes` is imported.
"""

from saes.autoencoder import decoder_directions, encode, load_sae

__all__ = ["decoder_directions", "encode", "load_sae"]
