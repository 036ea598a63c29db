#!/usr/bin/python
# Copyright (c) the movein authors
# MIT license (see https://opensource.org/licenses/MIT)
"""The documentation of the action plugin of this name, which does the work."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

DOCUMENTATION = r"""
---
module: movein
short_description: Brings a user's home on a host to its wanted state
version_added: "1.0.0"
description:
  - Runs movein on the host, which installs Nix or adopts the one that is there, clones a home-manager flake and dotfiles,
    and applies the configuration for the user and host.
  - The program is copied when the host has not the one of this collection, by its digest, and not otherwise.
  - The host needs a POSIX shell, and no Python. All is told to it on standard input; nothing is on a command line.
author:
  - The movein authors (@movein)
options:
  state:
    description:
      - C(applied) brings the home to its wanted state. In check mode it is told what would change.
      - C(status) tells what is managed and what has drifted; it asks no network and changes nothing.
    type: str
    choices: [applied, status]
    default: applied
  home_repo:
    description:
      - The home-manager flake. A git URL, an ssh address, a directory of the host, or C(starter).
      - Left out, the one that was used before on this host.
    type: str
  dotfiles:
    description: The chezmoi source, or C(none).
    type: str
  configuration:
    description: The attribute of homeConfigurations. Left out, it is found from user and host.
    type: str
  user:
    description:
      - Whose home. Left out, the user that logs in to the host.
      - With C(become), movein gives up root's rights for all that is the user's.
    type: str
  host:
    description: The host's name in its configuration's name. Left out, its own host name.
    type: str
  settings:
    description: Any other setting of C(movein help config), such as C(on-diverged).
    type: dict
    default: {}
  password:
    description: What opens the vault. It is given to movein on standard input and is in no log.
    type: str
  program:
    description: Where the program is on the host. The one before it is kept beside it, as NAME.old.
    type: path
    default: /usr/local/bin/movein
  release:
    description:
      - A directory of the controller with SHA256SUMS and movein-linux-ARCH of a release.
      - Left out, the one that came with the collection.
    type: path
  reboot:
    description: Reboot the host when movein asks for it, and go on after that.
    type: bool
    default: false
  reboot_timeout:
    description: How many seconds the host may take to come back.
    type: int
    default: 600
attributes:
  check_mode:
    description: Tells what would change and changes nothing.
    support: full
  diff_mode:
    description: Tells what is done to which files; in check mode with the differences in them.
    support: full
"""

EXAMPLES = r"""
- name: Move in
  movein.home.movein:
    home_repo: https://example.org/you/home.git
    dotfiles: https://example.org/you/dotfiles.git
  become: true

- name: See what has drifted
  movein.home.movein:
    state: status
  become: true
  register: drift
"""

RETURN = r"""
changed:
  description: Whether the host was changed, or would be.
  type: bool
  returned: always
steps:
  description: Each step with its status, and what it did, or what was wrong and what to do about it.
  type: list
  elements: dict
  returned: always
  sample: [{"step": "home-activate", "status": "changed", "change": [{"verb": "create", "target": "/home/you/.config/git/config"}]}]
reboot_required:
  description: Whether the rest waits for a reboot.
  type: bool
  returned: always
rebooted:
  description: Whether the host was rebooted on the way.
  type: bool
  returned: when it was
exit_code:
  description: movein's own.
  type: int
  returned: always
generation:
  description: The store path of the active home generation.
  type: str
  returned: for state=applied
hint:
  description: What to do about a failure.
  type: str
  returned: on failure
status:
  description: What "movein status --json" says.
  type: dict
  returned: for state=status
"""
