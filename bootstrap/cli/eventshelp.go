package cli

import "github.com/spf13/cobra"

// newEventsHelp is the reference of what --json writes. It names every field; that
// it does is tested.
func newEventsHelp() *cobra.Command {
	return &cobra.Command{
		Use:   "events",
		Short: "What --json writes",
		Long: `With --json, apply and plan write one JSON object a line to stdout, and nothing else.
Fields that are empty are left out. "schema" is 1 and changes when a field changes its
meaning or goes away, not when one is added.

Every event:
  schema, time (RFC 3339), event: "step", "progress", "warning", "question", "summary"

Of a step:
  step     its name, as in: movein plan --list
  status   pending running applying, then one of
           unchanged changed skipped waiting failed blocked
  change   what it does, or would do: a list of actions
  reason, hint, code
           why it is so, what to do about it, the exit code for it alone
  done, total, unit
           of progress

An action:
  verb     "write", "run", "clone" ...; of a file of the home: "create" (nothing is there),
           "update" (what is there is the owner's), "replace" (it is not, and is backed up),
           "delete" (it is the owner's, and no longer wanted), "keep" (edited, and stays)
  target   what it is done to
  reason   why, when that is not plain
  owner    of a file of the home: who brings it, "home-manager" or "chezmoi"
  source   the file that it is brought from
  was      what is there now: "file", "foreign link", "directory" ...
  diff     what changes in it, unified; with -v

JSON is UTF-8, and names of files are bytes. Where target, source or diff is not all
UTF-8, each byte that is none is U+FFFD there, and the bytes as they are stand beside it,
in base64, as target_base64, source_base64 or diff_base64:
  {"verb":"create","target":"/home/me/caf\ufffd","target_base64":"L2hvbWUvbWUvY2Fm6Q=="}

The last line is always the summary, also after an error or a signal:
  changed, dry_run, failed (names of steps), reboot_required, resumes (by itself,
  after the restart), exit_code, error and hint (of what ended a run outside of any step),
  generation (store path of the home), duration_ms,
  secrets ("missing" if files of the dotfiles were skipped because one was not to be
  had), skipped_files (their names)`,
		Example: `  movein plan --json -v`,
	}
}
