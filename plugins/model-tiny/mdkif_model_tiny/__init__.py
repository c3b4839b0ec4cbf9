"""A random Llama with a tokenizer of its own: everything a base model has except knowledge, made in a second."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from mdkif import BaseModel, hookimpl

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

SEED = 0
VOCABULARY = 600
CONTEXT = 2048
START, END, UNKNOWN = "<|im_start|>", "<|im_end|>", "<|endoftext|>"

CHAT_TEMPLATE = """\
{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>\\n' }}\
{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"""

TEXTS = (
    "You are a doctor. Answer the question about the patient. Choose from: yes; no; maybe. Answer:",
    "system user assistant What relates the two concepts? Choose from: entailment; neutral; contradiction.",
    "The patient was admitted to the hospital with chest pain, shortness of breath and fever.",
    "She was treated with antibiotics for pneumonia and discharged home in stable condition.",
    "He has a history of hypertension, diabetes mellitus, coronary artery disease and chronic kidney disease.",
    "What are the symptoms of asthma? Symptoms include wheezing, coughing and tightness of the chest.",
    "What causes anaemia? Anaemia is caused by a lack of iron, by bleeding or by a disease of the bone marrow.",
    "Aspirin, warfarin, insulin, metformin, heparin and prednisone are medications given to patients.",
    "A carcinoma is a cancer that begins in epithelial tissue; a sarcoma begins in connective tissue.",
    "Hepatitis is an inflammation of the liver. Nephritis is an inflammation of the kidney.",
    "Is a viral infection a kind of infectious disease? Does the premise entail the hypothesis?",
    "The treatment of heart failure includes diuretics, beta blockers and inhibitors of the converting enzyme.",
    "Conclusions: the randomised trial showed a significant reduction of mortality in the treated group.",
    "Laboratory tests: sodium 135, potassium 4.2, creatinine 0.9, glucose 180, haemoglobin 12.6.",
    "Summarise the question. Name the problems, tests and treatments in the context. Which disease is defined?",
    "An autosomal dominant syndrome of the nervous system that is characterised by seizures and muscle weakness.",
)


@hookimpl
def mdkif_models() -> list[BaseModel]:
    """The base model `tiny`."""
    return [
        BaseModel(
            name="tiny",
            title="A random Llama of 0.2 million parameters, for tests",
            target="mdkif_model_tiny:pull",
            licence="Apache-2.0",
            parameters="0.2M",
        )
    ]


def pull(directory: Path) -> None:
    """Write the model (float32 safetensors) and its tokenizer into `directory`: the same bytes every time.

    PyTorch's random state is left as it was.
    """
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM
    from transformers.utils import logging

    logging.disable_progress_bar()
    tokenizer = _tokenizer()
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=64,
        num_hidden_layers=4,
        num_attention_heads=4,
        num_key_value_heads=2,
        intermediate_size=128,
        max_position_embeddings=CONTEXT,
        tie_word_embeddings=False,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        dtype=torch.float32,
    )
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(SEED)
        model = LlamaForCausalLM(config)
    model.save_pretrained(directory)
    tokenizer.save_pretrained(directory)


def _tokenizer() -> PreTrainedTokenizerBase:
    """A byte-level BPE tokenizer learnt from `TEXTS`: it reads and writes any text without loss."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=[UNKNOWN, START, END],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    bpe.train_from_iterator(TEXTS, trainer)
    names: dict[str, Any] = {"bos_token": START, "eos_token": END, "pad_token": END, "unk_token": UNKNOWN}
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=bpe, model_max_length=CONTEXT, **names)
    tokenizer.chat_template = CHAT_TEMPLATE
    return tokenizer
