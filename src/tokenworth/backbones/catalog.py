"""The backbones of the two papers, by the name they are printed under."""

PUBLISHED: dict[str, str] = {
    "Qwen2-0.5B": "Qwen/Qwen2-0.5B",
    "Qwen2-1.5B": "Qwen/Qwen2-1.5B",
    "Qwen2-7B": "Qwen/Qwen2-7B",
    "Mistral-7B-v0.1": "mistralai/Mistral-7B-v0.1",
    "Meta-Llama-3-8B": "meta-llama/Meta-Llama-3-8B",
    "phi-2": "microsoft/phi-2",
    "arctic-embed-xs": "Snowflake/snowflake-arctic-embed-xs",
    "arctic-embed-s": "Snowflake/snowflake-arctic-embed-s",
    "arctic-embed-m": "Snowflake/snowflake-arctic-embed-m",
    "arctic-embed-l": "Snowflake/snowflake-arctic-embed-l",
    "OpenELM-270M": "apple/OpenELM-270M",
    "OpenELM-450M": "apple/OpenELM-450M",
    "OpenELM-1_1B": "apple/OpenELM-1_1B",
    "OpenELM-3B": "apple/OpenELM-3B",
}
"""Published name -> hub id.  A hub id or a folder of the same name is reached by its own spelling."""
