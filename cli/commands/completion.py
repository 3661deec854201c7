"""``colonies completion``: scripts that let a shell ask us what could come next."""

import os
from typing import Annotated, Literal

from cyclopts import App, Parameter

from cli.options import NONE, Options
from cli.output import Output

app = App(
    name="completion",
    help="Generate the autocompletion script for the specified shell.",
    help_format="plaintext",
)

_SCRIPTS = {
    "bash": r"""_colonies() {
    local IFS=$'\n'
    COMPREPLY=($("$1" __complete "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null))
}
complete -o default -F _colonies colonies
""",
    "zsh": r"""#compdef colonies
_colonies() {
    local -a found
    found=("${(@f)$(colonies __complete "${(@)words[2,CURRENT]}" 2>/dev/null)}")
    [[ -n "$found" ]] && compadd -- "${found[@]}" || _files
}
compdef _colonies colonies
""",
    "fish": r"""function __colonies_complete
    colonies __complete (commandline -opc)[2..-1] (commandline -ct) 2>/dev/null
end
complete -c colonies -f -a '(__colonies_complete)'
""",
}


@app.default
def script(
    shell: Literal["bash", "zsh", "fish"],
    *,
    no_descriptions: Annotated[bool, Parameter(negative="")] = False,
    options: Options = NONE,
) -> None:
    """Print the autocompletion script for a shell; it offers names and ids of the server, too.

    The line for a terminal, and in the file behind it for all that are opened from then on:

      bash  source <(colonies completion bash)     ~/.bashrc
      zsh   source <(colonies completion zsh)      ~/.zshrc, after compinit
      fish  colonies completion fish | source      ~/.config/fish/config.fish

    Args:
        shell: bash, zsh or fish.
        no_descriptions: accepted for older scripts; there are no descriptions.
        options: global options.
    """
    del no_descriptions
    Output.of(options, os.environ).write(_SCRIPTS[shell])
