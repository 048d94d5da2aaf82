"""Compiled functions: plain Python gives their bytes, and processes and threads share them."""

import hashlib
import json
import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from reference import noise, photographs

from lmlib import LayerMix, compiled
from lmlib.augment import METHODS, build_method

HERE = Path(__file__).parent
KEYS = {"seed": 3, "epoch": 1}
SMALL = (5, 6)  # plain Python takes a thousand times as long
PATCHES = {"cutout": {"length": 3}, "ipmix": {"patch_sizes": (2, 4)}}
SETTINGS = [(name, PATCHES.get(name, {})) for name in METHODS] + [
    ("ipmix", PATCHES["ipmix"] | {"wrap": True})
]


def checksums():
    """A checksum of what each method makes of a few small images, uint8 and float."""
    images, index = torch.cat([photographs(SMALL, 3), noise(SMALL, 3)]), np.arange(6)
    images[0, :, :2] = 0
    made = {}
    for name, settings in SETTINGS:
        method = build_method(name, mixing_set=noise((7, 9), 3), **settings)
        digest = hashlib.sha256()
        for batch in (images, images.float() / 255):
            others = (batch.flip(0),) if method.mixes_labels else ()
            done = method(batch, *others, **KEYS, index=index)
            done = done[0] if method.mixes_labels else done
            digest.update(done.numpy().tobytes())
        made[f"{name} {settings}"] = digest.hexdigest()
    return made


def python(code, **environment):
    """A Python of its own that ran some code in an environment: what it printed."""
    paths = os.pathsep.join([str(HERE), *filter(None, sys.path)])
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
        env=os.environ | {"PYTHONPATH": paths} | environment,
    )
    assert done.returncode == 0, done.stderr
    return done


def test_with_the_compiler_switched_off_the_same_functions_make_the_same_bytes():
    plain = python(
        "import json, test_compiled; print(json.dumps(test_compiled.checksums()))",
        NUMBA_DISABLE_JIT="1",
    )
    assert json.loads(plain.stdout.splitlines()[-1]) == checksums()


@pytest.mark.parametrize("name", ["layermix", "ipmix"])
def test_no_product_and_sum_are_fused_and_no_sum_is_reordered(name):
    method = build_method(name, mixing_set=noise((40, 40), 2))
    method(photographs((32, 32), 2), **KEYS, index=[0, 1])
    kernel = method.kernel.function
    fresh = compiled.numba.njit(**compiled.OPTIONS)(kernel.py_func)  # what is kept is not shown
    (signature,) = kernel.signatures
    fresh.compile(signature)
    assert "fmul float" in fresh.inspect_llvm(signature)
    assert not re.search(r"llvm\.fm(a|uladd)", fresh.inspect_llvm(signature))
    assert not re.search(r"f(add|mul) (fast|contract|reassoc)", fresh.inspect_llvm(signature))
    assert not re.search(r"\bv?fn?m(add|sub)|\bfml[as]", fresh.inspect_asm(signature))


SPEAKING = "import lmlib.draws as r; print(r.random_words('a', 3, seed=1, index=[2]).tolist())"


def test_the_first_process_says_that_it_compiles_and_the_next_finds_it_done(tmp_path):
    first, second = (python(SPEAKING, NUMBA_CACHE_DIR=str(tmp_path)) for _ in range(2))
    assert first.stderr.count("lmlib compiles") == 1 and str(tmp_path) in first.stderr
    assert second.stderr == "" and first.stdout == second.stdout


def test_of_processes_that_start_together_one_compiles(tmp_path):
    with ThreadPoolExecutor(4) as pool:
        done = list(pool.map(lambda _: python(SPEAKING, NUMBA_CACHE_DIR=str(tmp_path)), range(4)))
    assert sum("lmlib compiles" in one.stderr for one in done) == 1
    assert len({one.stdout for one in done}) == 1


def test_where_the_packages_folder_is_not_writable_the_users_cache_is_taken(tmp_path, monkeypatch):
    (tmp_path / "package").write_text("a file, in which no folder can be made")
    monkeypatch.setattr(compiled, "PACKAGE", tmp_path / "package")
    monkeypatch.setattr(compiled.numba.config, "CACHE_DIR", "")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert compiled.cache_folder().parent == tmp_path / "cache" / "lmlib"


def test_another_source_is_another_folder(tmp_path, monkeypatch):
    (tmp_path / "one.py").write_text("from .compiled import entry\nA = 1\n")
    monkeypatch.setattr(compiled, "PACKAGE", tmp_path)
    before = compiled.version()
    (tmp_path / "one.py").write_text("from .compiled import entry\nA = 2\n")
    assert compiled.version() != before


def test_work_is_shared_so_that_each_item_is_done_once():
    done = np.zeros(1000, int)

    def work(start, stop):
        done[start:stop] += 1

    for n_threads in (1, 2, 3, 5):
        done[:] = 0
        compiled.share(n_threads, len(done), work)
        assert (done == 1).all()


def test_an_error_in_a_thread_reaches_the_caller():
    def work(start, stop):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        compiled.share(3, 100, work)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_worker_has_threads_of_its_own():
    code = """
import os, numpy as np, torch
from lmlib import LayerMix
torch.set_num_threads(2)
images = torch.from_numpy(np.arange(64 * 3 * 32 * 32, dtype=np.uint8).reshape(-1, 3, 32, 32))
method = LayerMix(np.zeros((2, 1, 40, 40), np.uint8))
run = lambda: method(images, seed=0, epoch=0, index=np.arange(len(images))).numpy()
expected = run()
child = os.fork()
if child == 0:
    os._exit(0 if np.array_equal(run(), expected) else 1)  # without PyTorch's own threads
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
    assert python(code).stdout.split()[-1] == "0"


def test_a_batch_is_the_same_for_any_number_of_threads_that_share_it():
    images, index = noise((32, 32), 100), np.arange(100)
    method, before, done = LayerMix(noise((40, 40), 2)), torch.get_num_threads(), []
    try:
        for n in (1, 2, 3, 7):
            torch.set_num_threads(n)
            done.append(method(images, **KEYS, index=index))
    finally:
        torch.set_num_threads(before)
    assert all(torch.equal(one, done[0]) for one in done)
