//! Text to tokens and back: tokenizer, chat template, prompts, rendering, score parser.
