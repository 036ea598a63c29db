{ pkgs, ... }:
let
  aliases = {
    nrs = "sudo nixos-rebuild switch"; #= environment.shellAliases.nrs home > home.shellAliases.nrs @shell
    ll = "ls -l"; #= environment.shellAliases.ll home > home.shellAliases.ll @shell
  };
in
{
  programs.zsh = {
    enable = true; #= programs.zsh.enable system
    ohMyZsh.enable = true; #= programs.zsh.ohMyZsh.enable home > programs.zsh.oh-my-zsh.enable @shell
    shellAliases.gs = "git status"; #= programs.zsh.shellAliases.gs home > programs.zsh.shellAliases.gs @shell
    interactiveShellInit = "setopt autocd"; #= programs.zsh.interactiveShellInit home > programs.zsh.initContent @shell
  };
  programs.bash.completion.enable = true; #= programs.bash.completion.enable home > programs.bash.enableCompletion @shell
  programs.starship.enable = true; #= programs.starship.enable home > programs.starship.enable @shell
  programs.direnv.nix-direnv.enable = true; #= programs.direnv.nix-direnv.enable home > programs.direnv.nix-direnv.enable @shell
  programs.git = {
    enable = true; #= programs.git.enable home > programs.git.enable @git
    lfs.enable = true; #= programs.git.lfs.enable home > programs.git.lfs.enable @git
    config.init.defaultBranch = "main"; #= programs.git.config home > programs.git.settings @git
  };
  programs.gnupg.agent = {
    enable = true; #= programs.gnupg.agent.enable home > services.gpg-agent.enable @home
    enableSSHSupport = true; #= programs.gnupg.agent.enableSSHSupport home > services.gpg-agent.enableSshSupport @home
  };
  programs.npm.npmrc = "prefix=~/.npm"; #= programs.npm.npmrc home > programs.npm.settings @npm-tools
  programs.chromium.extensions = [ ]; #= programs.chromium.extensions home > programs.brave.extensions @brave
  programs.steam.enable = true; #= programs.steam.enable system
  programs.nix-ld.enable = true; #= programs.nix-ld.enable system
  programs.wireshark.enable = true; #= programs.wireshark.enable system
  programs.opengamepadui.enable = true; #= programs.opengamepadui.enable undecided
  environment.shellAliases = aliases;
  environment.variables.EDITOR = "nvim"; #= environment.variables.EDITOR home > home.sessionVariables.EDITOR @shell
  environment.shells = [ pkgs.zsh ]; #= environment.shells system
  environment.systemPackages = builtins.attrValues { #= environment.systemPackages home > home.packages @shell
    inherit (pkgs) ripgrep fd pciutils;
  };
}
