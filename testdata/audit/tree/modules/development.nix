{ pkgs, ... }:
{
  environment.systemPackages = with pkgs; [ #= environment.systemPackages system
    python3
    go
    gcc
  ];
  programs.java.enable = true; #= programs.java.enable system
}
