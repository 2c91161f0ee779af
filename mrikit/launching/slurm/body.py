"""Restart logic that every batch script shares."""

BODY = r"""
# Here and not at the top: what a launcher around `sbatch` has set is not meant for this job.
unset RANK WORLD_SIZE LOCAL_RANK MASTER_ADDR MASTER_PORT "${!OMPI_COMM_WORLD_@}"
export PYTHONUNBUFFERED=1 OMP_NUM_THREADS=${SLURM_CPUS_PER_TASK:-1} "${environment[@]}"

id=${SLURM_ARRAY_JOB_ID:+${SLURM_ARRAY_JOB_ID}_$SLURM_ARRAY_TASK_ID}
here=$job_folder/slurm-${id:-$SLURM_JOB_ID}
mkdir -p "$here" && cd "$work_folder" || exit 1

# One line for each start and each end; without them nobody could bound the starts.
note() { echo "$@" >>"$here/starts.txt" || exit 1; }
count() { grep -c "$1" "$here/starts.txt" 2>/dev/null; }
number=$(($(count '^start ') + 1))
num_errors=$(($(count '^end .* \(error\|memory\) .* again$') + 0))
num_restarts=$((number - 1 - num_errors))
if [ "$num_restarts" -gt "$max_restarts" ]; then
    note end $((number - 1)) "$(date +%s)" taken 143 over
    exit 143
fi

# Not ours any more: Slurm has taken the machine back or somebody has cancelled the job. Then it must not ask again.
is_ours() {
    [ -e "$here/cancelled" ] && return 1
    for try in 1 2 3 4 5; do
        state=$(squeue --noheader --jobs="$SLURM_JOB_ID" --format=%T) && [ -n "$state" ] && break
        sleep 2
    done
    [ "$state" = RUNNING ]
}
# srun itself would turn TERM into KILL; the step is younger than srun by a moment.
signal_step() {
    for try in 1 2 3 4 5; do
        scancel --quiet --signal="$1" "$SLURM_JOB_ID.0" && return
        sleep 1
    done
}
after() {
    (sleep "$1" & trap 'kill $!; exit' TERM; wait $! && kill -"$2" $$) &
    watchers+=($!)
}
watchers=()
why=
trap 'woken=1; why=${why:-taken}' TERM
trap 'woken=1; why=limit; signal_step TERM; after "$grace_s" USR2' USR1
trap 'woken=1; why=${why:-rehearsal}; signal_step KILL' USR2

# Where Slurm watches memory, the log of a step ends with its words.
is_out_of_memory() {
    tail -q -n 5 "$here"/task-*/log-$((number - 1)).txt | grep -q 'slurmstepd: .*oom[-_]kill'
}

for ((task = 0; task < num_tasks; task++)); do mkdir -p "$here/task-$task" || exit 1; done
note start "$number" "$(date +%s)" "${SLURMD_NODENAME:-$HOSTNAME}"
srun "${processes[@]}" --distribution=block --input=/dev/null --kill-on-bad-exit=0 --wait=0 --open-mode=append \
    --output="${here//%/%%}/task-%t/log-$((number - 1)).txt" "${command[@]}" &
step=$!
[ "$number" -le "${#kill_after_s[@]}" ] && after "${kill_after_s[number - 1]}" USR2
code=127
while :; do
    woken=
    wait "$step"
    got=$?
    [ "$got" -eq 127 ] || code=$got
    [ -n "$woken" ] || break
done
trap '' USR1 USR2
kill "${watchers[@]}" 2>/dev/null

now=$(date +%s)
if [ "$code" -eq 0 ]; then
    note end "$number" "$now" done 0 over
    exit 0
fi
[ "$code" -eq 137 ] && [ -z "$why" ] && is_out_of_memory && why=memory
case $code in 137 | 143) why=${why:-taken} ;; *) [ "$why" = taken ] && why= ;; esac
if ! is_ours; then
    note end "$number" "$now" taken "$code" -
    exit "$code"
fi
why=${why:-error}
case $why in error | memory) left=$((max_errors - num_errors)) ;; *) left=$((max_restarts - num_restarts)) ;; esac
if [ "$left" -gt 0 ]; then
    note end "$number" "$now" "$why" "$code" again
    scontrol requeue "$SLURM_JOB_ID" && exit "$code"
    echo "Slurm does not queue this job again; does the cluster allow that?"
fi
# What the first process says is shown; another one may be the one that knows why.
for ((task = 1; task < num_tasks; task++)); do
    other=$here/task-$task/log-$((number - 1)).txt
    [[ $why = @(error|memory) && -s $other ]] && {
        echo "--- process $task said last"
        tail -n 20 "$other"
    } >>"$here/task-0/log-$((number - 1)).txt"
done
note end "$number" "$now" "$why" "$code" over
exit "$code"
"""
"""Reads `job_folder`, `work_folder`, `max_restarts`, `max_errors`, `kill_after_s`, `command`, `environment`,
`processes`, `num_tasks` and `grace_s`."""
