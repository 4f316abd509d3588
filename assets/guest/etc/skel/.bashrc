# Yours. Prompt, colours, history and completion have their defaults in /usr/lib/virtualghost/bashrc.
