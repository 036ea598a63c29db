final: prev: {
  programs.not = prev.hello;
  hello = final.callPackage ../pkgs/hello { };
}
