"""Its skill has a name that is taken."""

from dataclasses import replace

import good
from mdkif import hookimpl


@hookimpl
def mdkif_skills():
    return [replace(good.mdkif_skills()[0], title="A skill that wants another's name")]
