# Copyright (c) the movein authors
# MIT license (see https://opensource.org/licenses/MIT)
"""Runs movein on a host: each run is one shell that is given its script on standard
input, over the connection that is there. So nothing of it is on a command line, the host
needs no Python, and a run that finds nothing to do costs one round trip. The program is
copied only when the host has not this one, by its digest.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import json
import os
import re
import shlex
import time

from ansible.errors import AnsibleActionFail, AnsibleConnectionFailure
from ansible.plugins.action import ActionBase

# Exit codes of the scripts below; movein's own are others.
LACKS, SPOILT = 93, 94
REBOOT = 75

ARCHITECTURES = {"x86_64": "amd64", "amd64": "amd64", "aarch64": "arm64", "arm64": "arm64"}

# Ends with LACKS unless $program is the one that is wanted.
LOOK = """\
case $(uname -m) in
%(wanted)s
*) want= ;;
esac
have=$(sha256sum <"$program") 2>/dev/null || have=
[ -n "$want" ] && [ "${have%%%% *}" = "$want" ] || { uname -m; exit 93; }
"""

# Puts $from beside $program, looks at its digest, and only then into its place.
INSTALL = """\
umask 022
[ ! -d "$program" ] || { echo "$program is a directory" >&2; exit 1; }
mkdir -p -- "${program%/*}"
new=$(mktemp "${program%/*}/.movein.XXXXXX")
trap 'rm -f -- "$new"' EXIT
cat -- "$from" >"$new"
have=$(sha256sum <"$new")
[ "${have%% *}" = "$want" ] || exit 94
chmod 0755 -- "$new"
sync -- "$new" 2>/dev/null || sync
[ ! -e "$program" ] || cp -p -- "$program" "$program.old"
mv -f -- "$new" "$program"
"""

# Its output goes through files: a connection that is lost does not end a change.
# They are in a directory of its own: a name in /tmp may be somebody's link by the time it is written to.
RUN = """\
out=$(mktemp -d)
trap 'rm -rf -- "$out"' EXIT
code=0
%s >"$out/out" 2>"$out/err" || code=$?
cat -- "$out/out"
cat -- "$out/err" >&2
exit "$code"
"""

# Once this shell has ended, so that its end is heard of.
RESTART = """\
cat /proc/sys/kernel/random/boot_id
(trap '' HUP; sleep 1; systemctl reboot || reboot) </dev/null >/dev/null 2>&1 &
"""

OPTIONS = dict(
    state=dict(type="str", choices=["applied", "status"], default="applied"),
    home_repo=dict(type="str"),
    dotfiles=dict(type="str"),
    configuration=dict(type="str"),
    user=dict(type="str"),
    host=dict(type="str"),
    settings=dict(type="dict", default={}),
    password=dict(type="str", no_log=True),
    program=dict(type="path", default="/usr/local/bin/movein"),
    release=dict(type="path"),
    reboot=dict(type="bool", default=False),
    reboot_timeout=dict(type="int", default=600),
)


class ActionModule(ActionBase):
    _requires_connection = True
    _supports_check_mode = True
    _supports_async = False

    def run(self, tmp=None, task_vars=None):
        result = super(ActionModule, self).run(tmp, task_vars)
        self.args = self.validate_argument_spec(argument_spec=OPTIONS)[1]
        self.release = self.args["release"] or os.path.join(os.path.dirname(__file__), "..", "..", "files")
        self.digests = digests(self.release)
        self.trial = None
        self.installed = False
        try:
            result.update(self._movein())
            if result["reboot_required"] and self.args["reboot"] and not self._task.check_mode:
                self._reboot()
                first = result["steps"]
                result.update(self._movein(), changed=True, rebooted=True, steps_before_reboot=first)
        finally:
            if self.trial:
                self._shell('rm -rf -- "$trial"', trial=self.trial)
        return result

    def _shell(self, script, **variables):
        """Runs a script in a shell on the host: its exit code, output, and errors."""
        lines = ["set -eu"]
        lines += ["%s=%s" % (name, shlex.quote(value)) for name, value in variables.items()]
        out = self._low_level_execute_command("/bin/sh -s", in_data=("\n".join(lines) + "\n" + script).encode())
        return out["rc"], out["stdout"], self._without_password(out["stderr"])

    def _without_password(self, text):
        password = self.args["password"]
        return text.replace(password, "********") if password else text

    def _movein(self):
        """Runs movein once, and copies it to the host first where that has to be."""
        code, out, err = self._shell(self._script(), program=self.args["program"])
        if code == LACKS:
            code, out, err = self._shell(self._script(), program=self._copy(out.strip()))
        result = self._status(code, out, err) if self.args["state"] == "status" else self._summary(code, out, err)
        if self.installed:
            result["changed"] = True
        return result

    def _script(self):
        """The script that runs movein, with everything it has to know."""
        args, settings = self.args, dict(self.args["settings"])
        for name in ("home_repo", "dotfiles", "configuration", "user", "host"):
            if args[name]:
                settings[name] = args[name]
        settings.update(json=True, yes=True, no_progress=True)
        command = "apply"
        if args["state"] == "status":
            command = "status"
        elif self._task.check_mode:
            command = "plan"
            if self._task.diff:
                settings["verbose"] = True
        script = LOOK % dict(wanted="\n".join("%s) want=%s ;;" % item for item in sorted(self.digests.items())))
        for name, value in sorted(settings.items()):
            if not re.match(r"[A-Za-z][A-Za-z0-9_-]*\Z", name):
                raise AnsibleActionFail("settings: %r is no name of a setting; what there is: movein help config" % name)
            script += "export MOVEIN_%s=%s\n" % (name.replace("-", "_").upper(), shlex.quote(setting(value)))
        line = '"$program" %s' % command
        if args["password"] and command != "status":
            # printf is the shell's own: it is no process that others can see.
            line = "printf '%%s\\n' %s | %s --password-fd 0" % (shlex.quote(args["password"]), line)
        else:
            line += " </dev/null"
        return script + RUN % line

    def _copy(self, machine):
        """Copies the program of this release to the host, and says where it is there."""
        want = self.digests.get(machine)
        name = "movein-linux-%s" % ARCHITECTURES.get(machine, machine)
        source = os.path.join(self.release, name)
        if not want or not os.path.isfile(source):
            raise AnsibleActionFail(
                "there is no movein for a host of %s: put %s of a release, and its SHA256SUMS, into %s"
                % (machine, name, os.path.normpath(self.release)))
        program = self.args["program"]
        if self._task.check_mode or self.args["state"] == "status":
            # The host stays as it is: the program is tried where it leaves nothing.
            code, out, err = self._shell("umask 022; dir=$(mktemp -d /var/tmp/movein.XXXXXX); chmod 0755 -- \"$dir\"; echo \"$dir\"")
            if code:
                raise AnsibleActionFail("making a directory for the program: %s" % err.strip())
            self.trial = out.strip()
            program = self.trial + "/movein"
        tmp = self._make_tmp_path()
        try:
            remote = self._connection._shell.join_path(tmp, name)
            self._transfer_file(source, remote)
            code, out, err = self._shell(INSTALL, program=program, want=want, **{"from": remote})
        finally:
            self._remove_tmp_path(tmp)
        if code == SPOILT:
            raise AnsibleActionFail("%s is not what SHA256SUMS beside it says; nothing was installed" % source)
        if code:
            raise AnsibleActionFail("installing %s: %s" % (program, err.strip()))
        self.installed = self.args["state"] != "status"
        return program

    def _summary(self, code, out, err):
        """What a run or a plan came to, by its events."""
        steps, warnings, summary = {}, [], None
        for event in objects(out):
            if event.get("event") == "step":
                steps[event["step"]] = {k: event[k] for k in ("step", "status", "change", "reason", "hint") if k in event}
            elif event.get("event") == "warning":
                warnings.append(event.get("reason", ""))
            elif event.get("event") == "summary":
                summary = event
        if summary is None:
            return failure(code, err)
        result = dict(
            changed=summary["changed"], reboot_required=summary["reboot_required"], exit_code=code,
            generation=summary["generation"], duration_ms=summary["duration_ms"], steps=list(steps.values()),
        )
        if warnings:
            result["warnings"] = warnings
        if self._task.diff:
            result["diff"] = [dict(prepared=told(step)) for step in result["steps"] if step.get("change")]
        if code not in (0, REBOOT):
            broken = [step for step in result["steps"] if step["status"] == "failed"]
            said = ["%s: %s" % (step["step"], step.get("reason", "")) for step in broken]
            hints = [step["hint"] for step in broken if step.get("hint")]
            if summary.get("error"):
                said, hints = [summary["error"]] + said, [summary["hint"]] * ("hint" in summary) + hints
            result.update(failed=True, msg=self._without_password("; ".join(said) or err.strip()), hint="; ".join(hints))
        return result

    def _status(self, code, out, err):
        """What movein manages on the host, and what has drifted."""
        for found in objects(out):
            if found.get("event") == "status":
                return dict(changed=False, reboot_required=False, exit_code=code, status=found, steps=found["drift"])
        return failure(code, err)

    def _reboot(self):
        """Restarts the host and waits until it is back."""
        code, before, err = self._shell(RESTART)
        if code:
            raise AnsibleActionFail("rebooting: %s" % err.strip())
        deadline = time.time() + self.args["reboot_timeout"]
        while time.time() < deadline:
            time.sleep(1)
            try:
                self._connection.reset()
                code, now, err = self._shell("cat /proc/sys/kernel/random/boot_id")
            except AnsibleConnectionFailure:
                continue
            if code == 0 and now.strip() != before.strip():
                return
        raise AnsibleActionFail("the host did not come back within %d s of a reboot; when it has, run the same again" % self.args["reboot_timeout"])


def digests(release):
    """The programs of a release by what "uname -m" says."""
    listed = {}
    try:
        with open(os.path.join(release, "SHA256SUMS")) as sums:
            for line in sums:
                digest, dummy, name = line.strip().partition("  ")
                listed[name] = digest
    except (IOError, OSError) as err:
        raise AnsibleActionFail("reading the digests of movein's release: %s; make the collection by: movein ansible export DIR" % err)
    named = {machine: listed.get("movein-linux-" + arch, "") for machine, arch in ARCHITECTURES.items()}
    return {machine: digest for machine, digest in named.items() if len(digest) == 64 and digest.isalnum()}


def setting(value):
    """A value as movein's environment has it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (list, tuple)):
        return ",".join(str(v) for v in value)
    return str(value)


def objects(text):
    """The JSON objects in a text that has one a line, and maybe other lines."""
    for line in text.splitlines():
        if line.startswith("{"):
            try:
                yield json.loads(line)
            except ValueError:
                continue


def told(step):
    """What a step does, or would do, for people."""
    lines = ["%s (%s)" % (step["step"], step["status"])]
    for action in step["change"]:
        lines.append("  %s %s" % (action.get("verb", ""), action.get("target", "")))
        lines += ["    " + line for line in action.get("diff", "").splitlines()]
    return "\n".join(lines) + "\n"


def failure(code, err):
    """What is known of a run that said nothing of itself."""
    return dict(failed=True, changed=False, reboot_required=False, exit_code=code, steps=[],
                msg="movein ended with exit code %d: %s" % (code, err.strip() or "and said nothing"), hint="")
