"""Prompts and answers as tokens: the boundary, the length limit, and what is never cut."""

from dataclasses import replace
from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mdkif import BadInput, Record, Skill, Task
from mdkif.core.contract.declarations import TruncationSide
from mdkif.core.prompts.batching import collate
from mdkif.core.prompts.controls import MARK
from mdkif.core.prompts.encoding import Encoder
from mdkif.core.prompts.templates import Instruction
from tokenizers import Tokenizer, processors, trainers
from tokenizers import models as tokenizer_models
from transformers import PreTrainedTokenizerFast

TEXT = st.text(st.characters(codec="utf-8", exclude_characters="<|>"), max_size=300)
FORMATS = ("chat", "plain")


class AsIs:
    """A template whose fields are the record's own, stripped, as every rendered field is."""

    def __init__(self, truncation_side="right"):
        self.truncation_side = truncation_side

    def render(self, record):
        return Instruction(record.query.strip(), record.context.strip(), record.answer.strip())

    def answer_affixes(self, record):
        return "", ""


def special_tokens(around):
    """A tokenizer without pre-tokenization, so that "Answer:" and what follows merge, which adds special tokens."""
    bpe = Tokenizer(tokenizer_models.BPE(unk_token="<unk>"))
    trainer = trainers.BpeTrainer(vocab_size=120, special_tokens=["<unk>", "<s>", "</s>"], show_progress=False)
    bpe.train_from_iterator(["Answer: yes", "Answer: no", "Is it so? It is safe."] * 5, trainer)
    bpe.post_processor = processors.TemplateProcessing(single=around, special_tokens=[("<s>", 1), ("</s>", 2)])
    return PreTrainedTokenizerFast(tokenizer_object=bpe, bos_token="<s>", eos_token="</s>", unk_token="<unk>")


@pytest.mark.parametrize("format", FORMATS)
def test_encoder_prompt_and_answer_are_the_joint_tokens_cut_at_the_prompts_end(base, encoder_for, questions, format):
    encoder = encoder_for(base, format=format)
    tokenizer, start = base.tokenizer, " " if format == "plain" else ""
    for record, encoded in zip(questions(8), encoder.encode(questions(8)), strict=True):
        text = encoder.text(encoder.template.render(record))
        prompt = tuple(tokenizer(text)["input_ids"])
        assert encoded.record == record
        assert encoded.prompt == prompt
        joint = tuple(tokenizer(text + start + record.answer)["input_ids"])
        assert encoded.prompt + encoded.answer == (*joint, tokenizer.eos_token_id)
        for option, found in zip(record.options, encoded.options, strict=True):
            assert prompt + found == tuple(tokenizer(text + start + option)["input_ids"])
        assert encoded.options[record.options.index(record.answer)] == encoded.answer[:-1]
        assert len(encoded) == len(joint) + 1


def test_encoder_two_formats_read_as_documented(base, encoder_for):
    instruction = Instruction("Is it safe?", "A cohort.", "yes")
    assert encoder_for(base, format="plain").text(instruction) == "Is it safe?\n\nA cohort.\n\nAnswer:"
    assert encoder_for(base, format="chat").text(instruction) == (
        "<|im_start|>system\nYou are a doctor.<|im_end|>\n<|im_start|>user\nIs it safe?\n\nA cohort.<|im_end|>\n"
        "<|im_start|>assistant\n"
    )


def test_encoder_auto_is_chat_where_there_is_a_chat_template_and_plain_elsewhere(base, encoder_for, questions):
    [record] = questions(1)
    assert next(encoder_for(base).encode([record])) == next(encoder_for(base, format="chat").encode([record]))
    silent = replace(base, tokenizer=special_tokens("<s> $A"))
    assert encoder_for(silent).text(Instruction("Q", "C", "A")) == "Q\n\nC\n\nAnswer:"
    with pytest.raises(BadInput, match="base model 'tiny' has no chat template: use --format plain"):
        list(encoder_for(silent, format="chat").encode([record]))


@pytest.mark.parametrize("around", ["<s> $A", "<s> $A </s>", "$A </s>", "$A"])
def test_encoder_special_tokens_stand_at_the_ends_only(base, around):
    """Also where joint tokens run across the boundary, so that the answer is tokenized by itself."""
    tokenizer = special_tokens(around)
    encoder = Encoder(replace(base, tokenizer=tokenizer), AsIs(), format="plain")
    record = Record(id="r", query="Is it so?", answer="yes", options=("yes", "no"), labels=("yes",))
    assert len(tokenizer("Answer: yes", add_special_tokens=False)["input_ids"]) == 1
    [encoded] = encoder.encode([record])
    begins = (1,) if around.startswith("<s>") else ()
    whole = encoded.prompt + encoded.answer
    assert [token for token in whole if token in (1, 2)] == [*begins, 2]
    assert whole[: len(begins)] == begins
    assert whole[-1] == 2
    assert "".join(tokenizer.convert_ids_to_tokens(encoded.answer[:-1])) == " yes"
    assert not {1, 2} & {token for option in encoded.options for token in option}


def test_encoder_answer_alone_is_the_target(base, encoder_for, questions):
    examples = list(encoder_for(base).encode(questions(6)))
    batch = collate(examples, base.pad, base.model.device)
    for example, targets in zip(examples, batch.targets.tolist(), strict=True):
        assert [t for t in targets if t != -100] == list(example.answer)
        assert targets[: -len(example.answer)] == [-100] * (len(targets) - len(example.answer))


@settings(max_examples=150, deadline=None)
@given(context=TEXT, answer=TEXT, query=TEXT, max_length=st.integers(20, 400), format=st.sampled_from(FORMATS))
def test_encoder_truncation_cuts_the_contexts_end_and_nothing_else(
    shared_base, context, answer, query, max_length, format
):
    record = Record(id="r", query=query, context=context, answer=answer)
    [whole] = Encoder(shared_base, AsIs(), 10_000, format).encode([record])
    encoder = Encoder(shared_base, AsIs(), max_length, format)
    found = list(encoder.encode([record]))
    bare = replace(AsIs().render(record), context="")
    least = len(shared_base.tokenizer(encoder.text(bare))["input_ids"]) + len(whole.answer)
    if not found:
        assert least > max_length
        assert encoder.counts == {"left out: no room for the answer": 1}
        return
    [encoded] = found
    assert len(encoded) <= max_length
    assert encoded.answer == whole.answer
    if len(whole) <= max_length:
        assert encoded.prompt == whole.prompt
        assert encoder.counts == {"encoded": 1}
        return
    assert encoder.counts == {"encoded": 1, "context truncated": 1}
    text = shared_base.tokenizer.decode(encoded.prompt, clean_up_tokenization_spaces=False)
    full = AsIs().render(record)
    prefixes = {encoder.text(replace(full, context=full.context[:n].rstrip())) for n in range(len(full.context))}
    assert text in prefixes


def is_cut(context, read, side):
    """Whether `read` is the declared part of a context, and nothing of it twice."""
    start, _, end = (read, "", "") if side == "right" else ("", "", read) if side == "left" else read.partition(" … ")
    return context.startswith(start) and context.endswith(end) and len(start) + len(end) <= len(context)


@settings(max_examples=200, deadline=None)
@given(
    context=TEXT.map(lambda text: text.replace("…", "").replace(MARK, "").strip()),
    query=TEXT.map(lambda text: text.replace(MARK, "").strip()),
    max_length=st.integers(20, 300),
    format=st.sampled_from(FORMATS),
    side=st.sampled_from(get_args(TruncationSide)),
)
def test_encoder_fits_any_context_into_any_budget_by_the_side_that_is_declared(
    shared_base, context, query, max_length, format, side
):
    fields = {"options": ("yes", "no"), "labels": ("no",), "spans": ((0, len(context)),)}
    record = Record(id="r", query=query, context=context, answer="no", **fields)
    encoder = Encoder(shared_base, AsIs(side), max_length, format)
    [whole] = Encoder(shared_base, AsIs(side), 10_000, format).encode([record])
    longest = max(map(len, (whole.answer, *whole.options)))
    found = list(encoder.encode([record]))
    if not found:
        bare = encoder.text(Instruction(query, "", "no"))
        assert len(shared_base.tokenizer(bare)["input_ids"]) + longest > max_length
        return
    [encoded] = found
    assert len(encoded.prompt) + longest <= max_length
    assert (encoded.record, encoded.answer, encoded.options) == (record, whole.answer, whole.options)
    text = shared_base.tokenizer.decode(encoded.prompt, clean_up_tokenization_spaces=False)
    if not encoder.counts["context truncated"]:
        assert text == encoder.text(Instruction(query, context, "no"))
        return
    before, after = encoder.text(Instruction(query, "\ue000", "no")).split("\ue000")
    if text == encoder.text(Instruction(query, "", "no")):
        return
    assert text.startswith(before)
    assert text.endswith(after)
    assert is_cut(context, text[len(before) : len(text) - len(after)], side)


def test_encoder_truncation_sides_by_hand(base):
    words = [f"w{i}" for i in range(300)]
    record = Record(id="r", query="Is it so?", context=" ".join(words), answer="yes")
    read = {}
    for side in get_args(TruncationSide):
        [encoded] = Encoder(base, AsIs(side), 120, "plain").encode([record])
        read[side] = base.tokenizer.decode(encoded.prompt).split("\n\n")[1]
    assert read["right"].startswith("w0 w1 w2 ")
    assert read["left"].endswith(" w297 w298 w299")
    start, end = read["middle"].split(" … ")
    assert start.startswith("w0 w1 w2 ")
    assert end.endswith(" w297 w298 w299")
    assert abs(len(base.tokenizer(start)["input_ids"]) - len(base.tokenizer(end)["input_ids"])) <= 2
    assert "w150" not in "".join(read.values())


def test_encoder_truncation_side_is_the_one_the_skill_or_task_declares(base, plugins, encoder_for):
    assert {name: plugins.get(Task, name).truncation_side for name in ("pubmedqa", "mednli")} == {
        "pubmedqa": "left", "mednli": "right",
    }  # fmt: skip
    assert plugins.get(Skill, "qa").truncation_side == "left"  # the results of an abstract stand at its end
    record = Record(id="r", query="Is it so?", context="Background. " + "fever " * 300 + "Results.", answer="yes")
    for name, read in (("pubmedqa", "Results."), ("mednli", "Background.")):
        [encoded] = encoder_for(base, max_length=100, name=name).encode([record])
        text = base.tokenizer.decode(encoded.prompt)
        assert [word for word in ("Background.", "Results.") if word in text] == [read]


@pytest.mark.parametrize("side", get_args(TruncationSide))
@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("max_length", [80, 100, 150])
def test_encoder_cuts_no_more_than_needed(base, encoder_for, questions, format, max_length, side):
    encoder = encoder_for(base, max_length=max_length, format=format)
    encoder.template.truncation_side = side
    examples = list(encoder.encode(questions(20, longest=120)))
    rooms = [max_length - len(e.prompt) - max(map(len, (e.answer, *e.options))) for e in examples]
    assert encoder.counts["context truncated"] >= 10
    assert sorted(rooms)[encoder.counts["context truncated"] - 1] <= 4
    assert min(rooms) >= 0


def test_encoder_options_need_room_as_answers_do(base, encoder_for, questions):
    long = " and ".join(["probably not"] * 30)
    [record] = questions(1, ("yes", long), gold="yes")
    needed = len(base.tokenizer(long)["input_ids"])
    encoder = encoder_for(base, max_length=needed + 10)
    assert not list(encoder.encode([record]))
    assert encoder.counts == {"left out: no room for the answer": 1}


def test_encoder_leaves_out_what_has_no_room_and_goes_on(base, encoder_for, questions):
    records = questions(3)
    records[1] = Record(id="long", query="Explain.", answer="fever " * 200)
    encoder = encoder_for(base, max_length=120)
    assert [e.record.id for e in encoder.encode(records)] == ["q0", "q2"]
    assert encoder.counts["left out: no room for the answer"] == 1
    assert encoder.counts["encoded"] == 2


def test_encoder_query_alone_too_long_is_left_out_for_it_is_never_cut(base, encoder_for):
    encoder = encoder_for(base, max_length=100)
    assert not list(encoder.encode([Record(id="q", query="fever " * 200, context="Short.", answer="yes")]))
    assert encoder.counts == {"left out: no room for the answer": 1}


def test_encoder_tells_no_records_from_none_that_fit(base):
    encoder = Encoder(base, AsIs(), max_length=6)
    record = Record(id="r", query="Is it so?", answer="yes it is and has been for as long as anyone knows")
    with pytest.raises(BadInput, match=r"^There are no training records of 'qa': check the source"):
        encoder.encode_all([], "training records of 'qa'")
    with pytest.raises(BadInput, match=r"^None of 2 training records of .qa. fits into 6 tokens .* raise max_length"):
        encoder.encode_all([record, record], "training records of 'qa'")
    assert len(Encoder(base, AsIs()).encode_all([record, record], "records")) == 2
