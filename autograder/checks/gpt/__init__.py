"""The checks of the gpt assignment."""

# the exercises in the order in which the assignment asks for them, and the module that checks each
EXERCISES = {
    "causal_mask": "causal_mask",
    "next_token_batch": "next_token_batch",
    "lm_loss": "lm_loss",
    "GPT": "gpt",
    "next_token_probs": "next_token_probs",
    "generate": "generate",
    "KVCache": "kv_cache",
    "EncoderDecoder": "encoder_decoder",
    "count_parameters": "count_parameters",
}
