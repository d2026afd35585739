#!/bin/sh
# Kills a process group when the process that writes to its standard input is gone, or when the last deadline it was
# told has passed: guardian.sh GROUP NODE MAIN ADDRESS... It reads lines: `lease ID` (whose the group is), `until N`
# (hundredths of a second since the machine booted), `done` (the group is gone, nothing is left to do).
# Exit codes: 0 done, 3 the deadline passed, 4 end of file.

# Whatever ends the service manager's or the terminal's processes politely must not take the guard away first.
trap '' HUP INT QUIT TERM PIPE USR1 USR2

group=$1 node=$2 main=$3
shift 3
deadline=
lease=

# Whether anything of the group runs. The dead whom nobody has collected yet count for `kill`, and not for us.
lives() {
  kill -s 0 -- "-$group" || return 1
  [ -r /proc/self/stat ] || return 0
  for stat in /proc/[0-9]*/stat; do
    read -r line <"$stat" || continue
    # After the name, in brackets, come state, parent, group.
    # shellcheck disable=SC2086
    set -- ${line##*) }
    [ "$3" != "$group" ] || [ "$1" = Z ] || [ "$1" = X ] || return 0
  done
  return 1
}

# Nobody else gives the lease back before it ends by itself. Not while anything lives that could use it.
give_back() {
  looks=0
  while lives; do
    looks=$((looks + 1))
    [ "$looks" -lt 100 ] || return
    sleep 0.05
  done
  for address; do
    # On standard input, for everybody can see arguments.
    echo "$lease" | "$node" "$main" release - --reason 'holdfast run was killed' --address "$address" && return
  done
}

orphaned() {
  kill -s KILL -- "-$group"
  [ -z "$lease" ] || give_back "$@"
  exit 4
}

# A clock of the machine, not of the writer: a line that lay unread for long says the same as one read at once.
timed=no
if [ -r /proc/uptime ] && command -v timeout >/dev/null; then timed=yes; fi

echo armed
exec >/dev/null

while :; do
  if [ -z "$deadline" ]; then
    read -r word value || orphaned "$@"
  else
    read -r up _ </proc/uptime
    left=$((deadline - ${up%.*}${up#*.}))
    if [ "$left" -le 0 ]; then
      kill -s KILL -- "-$group"
      exit 3
    fi
    hundredths=$((left % 100))
    [ "$hundredths" -ge 10 ] || hundredths=0$hundredths
    # No `read -t` in every sh. A shell reads byte by byte, so the next reader finds the next line.
    # shellcheck disable=SC2016
    line=$(timeout -s KILL "$((left / 100)).$hundredths" sh -c 'read -r line && echo "$line"')
    case $? in
      0) word=${line%% *} value=${line#* } ;;
      1) orphaned "$@" ;;
      # Time is up, or somebody killed the reader: the clock knows.
      *) continue ;;
    esac
  fi
  case $word in
    lease) lease=$value ;;
    until) [ "$timed" = no ] || deadline=$value ;;
    done) exit 0 ;;
  esac
done
