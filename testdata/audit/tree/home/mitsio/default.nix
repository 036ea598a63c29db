{ config, pkgs, osConfig, ... }:
{
  imports = [
    ./git.nix
    ./plasma.nix
  ];
  home.stateVersion = "25.11"; #= home.stateVersion home > home.stateVersion @home
  home.packages = with pkgs; [ #= home.packages home > home.packages @home
    go
    vscodium
  ];
  home.sessionVariables = {
    PAGER = "less"; #= home.sessionVariables.PAGER home > home.sessionVariables.PAGER @shell
  };
  programs.bash = {
    enable = true; #= programs.bash.enable home > programs.bash.enable @shell
    shellAliases.la = "ls -a"; #= programs.bash.shellAliases.la home > programs.bash.shellAliases.la @shell
  };
  programs.vscode = {
    enable = true; #= programs.vscode.enable home > programs.vscode.enable @vscodium
    profiles.default.userSettings."editor.fontSize" = 14; #= programs.vscode.profiles home > programs.vscode.profiles @vscodium
  };
  programs.keepassxc.enable = true; #= programs.keepassxc.enable home > programs.keepassxc.enable @keepassxc
  programs.claude-code.enable = true; #= programs.claude-code.enable home > programs.claude-code.enable @claude-code
  home.file.".config/kitty/kitty.conf".source = ./config/kitty.conf; #= home.file.".config/kitty/kitty.conf" home > home.file.".config/kitty/kitty.conf" @home
  services.kdeconnect.indicator = true; #= services.kdeconnect.indicator home > services.kdeconnect.indicator @plasma
}
