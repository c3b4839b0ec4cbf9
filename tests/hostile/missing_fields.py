"""Its declaration lacks what every one has to have."""

from mdkif import Trainer, hookimpl


@hookimpl
def mdkif_trainers():
    return [Trainer(name="bare")]
