"""The networks: encoders, the decoders and heads of the papers, and the `Segmenter` around them."""
