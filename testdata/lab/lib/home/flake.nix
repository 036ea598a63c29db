# A home-manager flake without inputs: what is in files/ is the home's. Its generation has
# home-manager's layout and an activation that does with files what home-manager's own does.
{
  outputs = { self }: {
    homeConfigurations."mitsio@debian".activationPackage = derivation {
      system = "x86_64-linux";
      name = "home-manager-generation";
      builder = "/bin/sh";
      files = builtins.path { path = ./files; name = "home-manager-files"; };
      activation = builtins.path { path = ./activation; name = "home-manager-activation"; };
      args = [
        "-euc"
        ''
          mkdir $out
          ln -s $files $out/home-files
          cp $activation/activate $activation/hook $out/
          chmod +x $out/activate
          echo 1 > $out/gen-version
        ''
      ];
    };
  };
}
