/** Entry of the one file that checks an evidence bundle from disk, without a server. */
import { mount } from 'svelte';
import '../tokens.css';
import '../app.css';
import Offline from './Offline.svelte';

mount(Offline, { target: document.getElementById('app') as HTMLElement });
