"""A trained model on the Hugging Face Hub, with its card. The token is the one of `hf auth login` or ``HF_TOKEN``."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from clearir.models.hub_connection import quiet
from clearir.support.errors import InputError, first_line

#: what the model's folder holds beside the model: of this machine alone
OURS = ("manifest.json", "training.json", ".*")


def check_push(repo: str) -> None:
    """Ask the Hub who we are, before a training whose model is to go there.

    Raises:
        InputError: there is no token, it is not accepted, or the Hub does not answer.
    """
    from huggingface_hub import HfApi

    with _said(repo):
        HfApi().whoami()


def push_model(folder: Path, repo: str) -> str:
    """Upload a model's folder; a new repository is private until its owner says otherwise.

    Args:
        folder: of a model, with its card.
        repo: ``USER/NAME``.

    Returns:
        the address of the model.

    Raises:
        InputError: the Hub refuses, or does not answer.
    """
    from huggingface_hub import HfApi

    api = HfApi()
    with _said(repo):
        url = api.create_repo(repo, private=True, exist_ok=True)
        api.upload_folder(
            repo_id=url.repo_id, folder_path=folder, ignore_patterns=list(OURS), commit_message="Model of clearir"
        )
    return str(url)


@contextmanager
def _said(repo: str) -> Iterator[None]:
    """What goes wrong between here and the Hub, in a sentence."""
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalTokenNotFoundError

    try:
        with quiet():
            yield
    except LocalTokenNotFoundError as error:
        raise InputError(
            f"train.push_to_hub: {repo}: there is no token for the Hub; run hf auth login, or set HF_TOKEN"
        ) from error
    except HFValidationError as error:
        raise InputError(f"train.push_to_hub: {repo}: not a name on the Hub; write USER/NAME") from error
    except HfHubHTTPError as error:
        raise InputError(
            f"train.push_to_hub: {repo}: the Hub refuses ({first_line(error)}); check that the token may write there"
        ) from error
    except Exception as error:  # no network, offline mode: what is raised depends on the HTTP library
        raise InputError(
            f"train.push_to_hub: {repo}: the Hub cannot be reached ({first_line(error)}); check the connection (and "
            "HF_HUB_OFFLINE), then run the same command again"
        ) from error
