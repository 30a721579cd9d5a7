echo "{{ x }}" '$(id)' ÿ€
printf 'a\n'