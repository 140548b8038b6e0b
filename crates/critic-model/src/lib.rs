//! Decoders and heads on candle; weights in and out; catalogue.
