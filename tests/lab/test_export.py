"""What is exported is what a run made: for `transformers`, PEFT and data sets."""

import json
import sys

import pytest
import torch

import loop
from minisi.lab.ask import load
from minisi.lab.controls import ARMS
from minisi.lab.export import export, split
from minisi.lab.testset import read_set
from minisi.model.generate import generate
from minisi.run.files import read_rows
from minisi.run.runtime import UserError
from minisi.tasks.families import FAMILIES
from minisi.tasks.problems import solve

from ..passes import plain
from ..programs import ROOT, rows, settings

QUESTIONS = ["347+586", "sort 3 1 2", "tom has 4 nuts, earns 6: how many?", "a>b,b>c from a 2"]


@pytest.fixture(scope="module")
def made(tmp_path_factory, small_test_set):
    """(the folder of a run whose adapters were all kept, what was exported)."""
    pytest.importorskip("transformers")
    folder = tmp_path_factory.mktemp("export")
    changed = {"arm": "mine", "n_layer": 2, "n_head": 2, "lr": 0.02, "lora_alpha": 32.0}
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "matplotlib", None)
        patch.setitem(ARMS, "mine", ARMS["stack"])  # as a plugin adds one, which export has not
        loop.loop(settings(folder, small_test_set, **changed))
    export(f"{folder}/loop", f"{folder}/to")
    return folder


def theirs(folder):
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(folder).eval()


def test_the_logits_are_the_same(made):
    model, _, codec, _ = load(f"{made}/loop", "cpu")
    for ids in codec.encode([solve(question).target for question in QUESTIONS]):
        with torch.no_grad():
            found = theirs(made / "to")(torch.tensor([ids])).logits[0]
            torch.testing.assert_close(found, plain(model, ids), atol=1e-5, rtol=1e-4)


def test_greedy_texts_are_the_same(made):
    from transformers import AutoTokenizer

    words = AutoTokenizer.from_pretrained(made / "to", padding_side="left")
    words.pad_token = words.eos_token
    model, _, codec, _ = load(f"{made}/loop", "cpu")
    (problems,) = read_set("data/test.jsonl").values()
    prompts = [problem.prompt for problem in problems[::4]]
    assert len(prompts) == 512
    batch = words(prompts, return_tensors="pt", padding=True)
    said = theirs(made / "to").generate(
        input_ids=batch["input_ids"],
        attention_mask=batch["attention_mask"],
        max_new_tokens=12,
        do_sample=False,
    )
    new = said[:, batch["input_ids"].size(1) :]
    found = words.batch_decode(new, skip_special_tokens=True)
    assert len(set(found)) > 1
    assert found == [completion.text for completion in generate(model, codec, prompts, 12)]


@pytest.mark.parametrize("family", FAMILIES)
def test_the_tokenizer_gives_texts_back(family, made):
    from random import Random

    from transformers import AutoTokenizer

    words = AutoTokenizer.from_pretrained(made / "to")
    _, _, codec, _ = load(f"{made}/loop", "cpu")
    for seed in range(20):
        text = solve(FAMILIES[family].ask(Random(seed), 4)).target
        ids = words(text)["input_ids"]
        assert ids == codec.encode([text])[0]
        assert words.decode(ids) == text


def test_the_base_with_all_adapters_merged_is_the_model_at_the_end(made):
    peft = pytest.importorskip("peft")
    model = theirs(made / "to" / "base")
    before = model.state_dict()["model.layers.1.self_attn.k_proj.weight"].clone()
    folders = sorted((made / "to" / "adapters").iterdir())
    assert [folder.name for folder in folders] == ["round_01", "round_02"]
    for folder in folders:
        model = peft.PeftModel.from_pretrained(model, folder).merge_and_unload()
    wanted = theirs(made / "to").state_dict()
    assert not torch.equal(before, wanted["model.layers.1.self_attn.k_proj.weight"])
    for name, weight in model.state_dict().items():
        torch.testing.assert_close(weight, wanted[name], atol=1e-5, rtol=1e-4)


def test_the_memory_is_a_data_set_for_two_kinds_of_training(made):
    data = made / "to" / "data"
    sft, preferences = (
        [json.loads(line) for line in (data / f"{name}.jsonl").read_text().splitlines()]
        for name in ("sft", "preferences")
    )
    memory = [row for row in rows(made / "loop", "memory") if row["source"] == "solver"]
    assert [row["completion"] for row in sft] == [row["completion"] for row in memory]
    assert all(row["prompt"].endswith("|") for row in sft)
    assert 0 < len(preferences) <= len(sft)
    assert all(row["chosen"] != row["rejected"] for row in preferences)
    assert (data / "README.md").read_text().startswith("---\nconfigs:")


def test_the_data_set_loads_by_its_card(made, tmp_path):
    datasets = pytest.importorskip("datasets")
    for name in ("sft", "preferences"):
        path = made / "to" / "data" / f"{name}.jsonl"
        found = datasets.load_dataset(str(path.parent), name, split="train", cache_dir=tmp_path)
        assert found.to_list() == read_rows(path)


def test_a_fused_matrix_is_split_exactly():
    A, B = torch.randn(2, 5), torch.randn(9, 2)
    found = split({"blocks.3.qkv.lora_A": A, "blocks.3.qkv.lora_B": B})
    assert len(found) == 6
    prefix = "base_model.model.model.layers.3.self_attn"
    made = [
        found[f"{prefix}.{part}_proj.lora_B.weight"] @ found[f"{prefix}.{part}_proj.lora_A.weight"]
        for part in "qkv"
    ]
    torch.testing.assert_close(torch.cat(made), B @ A)


def test_without_transformers_one_line_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(UserError, match="pip install transformers"):
        export(str(tmp_path), str(tmp_path / "to"))


@pytest.mark.parametrize("to", [".", "data/x", "runs/.."])
def test_a_folder_of_the_project_gets_nothing(to, made, monkeypatch):
    monkeypatch.chdir(ROOT)
    with pytest.raises(UserError, match="name another one with --to"):
        export(f"{made}/loop", to)


def test_a_folder_that_is_in_use_gets_nothing(made):
    with pytest.raises(UserError, match="no new or empty folder"):
        export(f"{made}/loop", f"{made}/to")
