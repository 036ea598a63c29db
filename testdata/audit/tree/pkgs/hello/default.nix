{ stdenv, fetchurl }:
stdenv.mkDerivation {
  name = "hello";
  src = fetchurl { url = "https://example.org/hello.tar.gz"; };
  boot.not = "an option";
}
