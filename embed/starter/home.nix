# Your home. Edit it, then run "movein apply" on this directory again: files that are new
# here get linked, files that are gone from here get unlinked.
#
# The options have the names that home-manager gives them, so what you write here can
# move to a real home-manager configuration unchanged.
{ user, hostname, ... }:
{
  # One entry a file, by its path below your home directory. The text stands here …
  home.file.".local/bin/hello-movein" = {
    executable = true;
    text = ''
      #!/bin/sh
      # Says where this home comes from.
      echo "Hello ${user}, ${hostname} is moved in."
      echo "This file:  $(readlink "$HOME/.local/bin/hello-movein" || echo "not a link")"
      echo "Generation: $(readlink "''${XDG_STATE_HOME:-$HOME/.local/state}/home-manager/gcroots/current-home")"
      echo "Read on in: ~/.config/movein/starter/README.md"
    '';
  };

  # … or in a file beside this one.
  home.file.".config/movein/starter/README.md".source = ./what-now.md;

  # Short names for commands. They end up in ~/.config/movein/starter/aliases.sh, which
  # your shell reads once you put this line into your ~/.bashrc or ~/.zshrc:
  #   . ~/.config/movein/starter/aliases.sh
  home.shellAliases = {
    ll = "ls -l";
    la = "ls -la";
    drift = "movein status";
  };
}
